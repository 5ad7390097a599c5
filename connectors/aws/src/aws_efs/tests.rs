//! What moto cannot show of file systems.

use serde_json::json;
use tidegate_pipeline::provider::Extent;

use super::file_system::FileSystems;
use super::mount_target::MountTargets;
use crate::testing::{Answer, Asked, StandIn};

fn system(id: &str) -> serde_json::Value {
    json!({
        "FileSystemId": id, "OwnerId": "210987654321", "CreationToken": "t", "CreationTime": 1_767_323_045,
        "LifeCycleState": "available", "NumberOfMountTargets": 1, "PerformanceMode": "generalPurpose",
        "SizeInBytes": {"Value": 6144, "Timestamp": 1_767_323_045}, "Tags": [{"Key": "Name", "Value": "home"}],
    })
}

/// Two pages of file systems; the mount targets of the first are in two pages too, and the second has gone meanwhile.
fn answer(asked: &Asked) -> Answer {
    let next = |answer: serde_json::Value| (200, answer.to_string());
    match (asked.path.as_str(), asked.value("Marker"), asked.value("FileSystemId")) {
        ("/2015-02-01/file-systems", "", "") => {
            next(json!({"FileSystems": [system("fs-0000000a")], "NextMarker": "2"}))
        }
        ("/2015-02-01/file-systems", "2", "") => next(json!({"FileSystems": [system("fs-0000000b")]})),
        ("/2015-02-01/file-systems", "", "fs-0000000a") => next(json!({"FileSystems": [system("fs-0000000a")]})),
        ("/2015-02-01/mount-targets", marker, "fs-0000000a") => {
            let (id, marker) = if marker.is_empty() { ("fsmt-0000000a", Some("3")) } else { ("fsmt-0000000b", None) };
            next(json!({"NextMarker": marker, "MountTargets": [{
                "MountTargetId": id, "FileSystemId": "fs-0000000a", "SubnetId": "subnet-1", "LifeCycleState": "available",
            }]}))
        }
        _ => (404, json!({"ErrorCode": "FileSystemNotFound", "__type": "FileSystemNotFound"}).to_string()),
    }
}

#[tokio::test]
async fn file_systems_do_not_change_with_what_is_in_them() {
    let server = StandIn::new(answer).await;
    let (rows, outcome) = server.collect(&FileSystems::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let rows = &rows["aws_efs_file_system"];
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["arn"], "arn:aws:elasticfilesystem:eu-west-1:210987654321:file-system/fs-0000000a");
    assert_eq!(
        (&rows[0]["creation_time"], &rows[0]["tags"]),
        (&json!("2026-01-02T03:04:05Z"), &json!({"Name": "home"}))
    );
    assert!(rows.iter().all(|row| !row["raw"].as_str().unwrap().contains("6144")));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn targets_that_are_gone_or_no_ids_do_not_hide_those_that_are_there() {
    let server = StandIn::new(answer).await;
    let ids = ["fs-0000000a", "fs-0000000c", "vol-1"].map(Into::into).to_vec();
    let (rows, outcome) = server.collect(&FileSystems::new(), "eu-west-1", Extent::Targets(ids)).await;
    outcome.unwrap();
    assert_eq!(rows["aws_efs_file_system"].len(), 1);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn mount_targets_are_read_of_each_file_system_to_the_end() {
    let server = StandIn::new(answer).await;
    let (rows, outcome) = server.collect(&MountTargets::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let ids: Vec<_> = rows["aws_efs_mount_target"].iter().map(|row| &row["mount_target_id"]).collect();
    assert_eq!(ids, ["fsmt-0000000a", "fsmt-0000000b"]);
}
