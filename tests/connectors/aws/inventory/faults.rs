//! Bad weather: whatever becomes of one listing in one region is a matter of its table there. It says what is wrong, its
//! rows stay, everything else goes on, and it is well again with the next refresh.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::front::{Asked, Front, Weather, ask};
use super::moto;
use crate::aws::program;
use crate::program::{Done, Folder, Running};

/// The region where all is well.
const FAIR: &str = "us-east-1";

/// What is wrong with one listing.
struct Fault {
    region: &'static str,
    weather: fn(&Asked) -> Weather,
    /// What is said of it.
    said: &'static [&'static str],
}

const FAULTS: [Fault; 10] = [
    Fault {
        region: "us-east-2",
        weather: |_| refused(500, "InternalError", "An internal error has occurred"),
        said: &["cannot list the volumes", "InternalError: An internal error has occurred"],
    },
    Fault {
        region: "us-west-1",
        weather: |_| refused(403, "UnauthorizedOperation", "You are not authorized."),
        said: &["these credentials may not do that", "allow ec2:DescribeVolumes in the policy of the user or role"],
    },
    Fault {
        region: "us-west-2",
        weather: |asked| match asked.goes_on {
            false => Weather::Changed(|text| with_token(&text)),
            true => refused(400, "ExpiredToken", "The security token included in the request is expired"),
        },
        said: &["the credentials have expired (ExpiredToken", "renew them"],
    },
    Fault {
        region: "eu-west-1",
        weather: |_| Weather::Changed(|text| text[..text.len() / 2].to_owned()),
        said: &["the answer broke off", "it ends before `</DescribeVolumesResponse>`", "check the network, proxies"],
    },
    Fault {
        region: "eu-west-2",
        weather: |_| Weather::Half,
        said: &["the answer broke off", "check the network, proxies, and `endpoint_url`"],
    },
    Fault {
        region: "eu-west-3",
        weather: |_| {
            Weather::Instead(200, "text/html", "<html><body>Log in to the hotel's network</body></html>".into())
        },
        said: &["the answer cannot be understood (HTTP 200, text/html)", "look at proxies"],
    },
    Fault {
        region: "eu-central-1",
        weather: |asked| match asked.token.as_str() {
            "a" => page_before("b"),
            "b" => page_before("c"),
            "c" => page_before("a"),
            _ => Weather::Changed(|text| with_token(&text)),
        },
        said: &["cannot list the volumes to the end: AWS gives the same pages again and again"],
    },
    Fault {
        region: "eu-north-1",
        weather: |asked| match asked.goes_on {
            false => Weather::Changed(|text| with_token(&text)),
            true => refused(400, "InvalidPaginationToken", "The token is not valid"),
        },
        said: &["cannot list the volumes: InvalidPaginationToken: The token is not valid"],
    },
    Fault {
        region: "ap-south-1",
        weather: |_| refused(401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
        said: &["the credentials are refused (AuthFailure", "check `access_key` and `secret_key`"],
    },
    Fault {
        region: "ca-central-1",
        weather: |_| Weather::Instead(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>".into()),
        said: &["cannot list the volumes: HTTP 502, text/html"],
    },
];

fn refused(status: u16, code: &str, message: &str) -> Weather {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Weather::Instead(status, "text/xml", format!("<Response><Errors>{error}</Errors></Response>"))
}

fn refused_by_sts(code: &str) -> Weather {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>Expired.</Message></Error>");
    Weather::Instead(403, "text/xml", format!("<ErrorResponse>{error}</ErrorResponse>"))
}

fn page_before(token: &str) -> Weather {
    let text = format!("<DescribeVolumesResponse><volumeSet/><nextToken>{token}</nextToken></DescribeVolumesResponse>");
    Weather::Instead(200, "text/xml", text)
}

/// As if there were another page.
fn with_token(text: &str) -> String {
    text.replace("</DescribeVolumesResponse>", "<nextToken>a</nextToken></DescribeVolumesResponse>")
}

/// An account of its own, with two volumes in each of some regions, and a pipeline over it.
struct Estate {
    account: &'static str,
    moto: String,
    front: Front,
    folder: Folder,
}

impl Estate {
    /// `options` are of the source, beside account and regions.
    fn new(moto: String, account: &'static str, regions: &[&str], options: &str) -> Self {
        let text = format!(
            "version: 1\nname: p\nrestart: {{attempts: 0, initial: 100ms, max: 200ms}}\n\
             sources:\n  inventory:\n    aws_ec2:\n      regions: [{}]\n      tables: [aws_ebs_volume, aws_vpc]\n      \
             aws: {{own_account: false, accounts: [{{role: \"arn:aws:iam::{account}:role/audit\"}}]}}\n      {options}\n\
             operators:\n  look: {{from: inventory, check: {{sql: \"select arn as resource, account_id, region, 'ok' as status, \
             volume_id as reason from aws_ebs_volume\"}}}}\n\
             sinks:\n  volumes: {{from: inventory.aws_ebs_volume, file: {{path: volumes.jsonl}}}}\n  \
             vpcs: {{from: inventory.aws_vpc, file: {{path: vpcs.jsonl}}}}\n  \
             findings: {{from: look, file: {{path: findings.jsonl}}}}\n",
            regions.join(", ")
        );
        let (front, folder) = (Front::start(&moto), Folder::with(&[("p.yaml", &text)]));
        let estate = Self { account, moto, front, folder };
        for region in regions {
            for size in [8, 16] {
                estate.ask(region, &format!("Action=CreateVolume&AvailabilityZone={region}a&Size={size}"));
            }
        }
        estate
    }

    fn ask(&self, region: &str, form: &str) -> String {
        ask(&self.moto, self.account, region, form)
    }

    fn delete_a_volume(&self, region: &str) {
        let listed = self.ask(region, "Action=DescribeVolumes");
        let (_, rest) = listed.split_once("<volumeId>").expect("a volume");
        let (id, _) = rest.split_once("</volumeId>").expect("its end");
        self.ask(region, &format!("Action=DeleteVolume&VolumeId={id}"));
    }

    fn refresh(&self) -> Done {
        Done::of(&mut program(&self.folder, &self.front.endpoint, &["run", "p.yaml", "--once"])).code(0)
    }

    fn start(&self) -> Running {
        Running::of(&mut program(&self.folder, &self.front.endpoint, &["run", "p.yaml"]))
    }

    /// Operation and region of the changes of volumes so far, sorted.
    fn volumes(&self) -> Vec<(String, String)> {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let mut volumes: Vec<_> =
            self.folder.rows("volumes.jsonl").iter().map(|row| (text(row, "_op"), text(row, "region"))).collect();
        volumes.sort();
        volumes
    }

    /// The regions of which volumes were deleted so far.
    fn deleted(&self) -> Vec<String> {
        self.volumes().into_iter().filter(|(operation, _)| operation == "delete").map(|(_, region)| region).collect()
    }
}

#[test]
fn a_fault_of_one_listing_is_said_freezes_its_table_there_and_passes_with_the_next_refresh() {
    let Some(moto) = moto() else { return };
    let regions: Vec<&str> = FAULTS.iter().map(|fault| fault.region).chain([FAIR]).collect();
    let estate = Estate::new(moto, "600000000001", &regions, "");
    estate.refresh().never_said(&["could not be read"]);
    let (found, networks) = (estate.volumes(), estate.folder.rows("vpcs.jsonl").len());
    assert!(found.len() == 2 * regions.len() && networks == regions.len(), "{found:?}");

    regions.iter().for_each(|region| estate.delete_a_volume(region));
    for region in &regions {
        estate.ask(region, "Action=CreateVpc&CidrBlock=10.7.0.0/16");
    }
    estate.front.weather(|asked| {
        let fault = FAULTS.iter().find(|fault| fault.region == asked.region && asked.action == "DescribeVolumes");
        fault.map_or(Weather::Fair, |fault| (fault.weather)(asked))
    });
    let done = estate.refresh().said(&[&format!("{} tables could not be read", FAULTS.len())]);
    assert_eq!(estate.deleted(), [FAIR], "nothing is deleted where not everything was read");
    assert_eq!(estate.folder.rows("vpcs.jsonl").len(), 2 * networks, "the other tables go on");
    let findings = estate.folder.rows("findings.jsonl");
    for Fault { region, said, .. } in &FAULTS {
        let scope = format!("{}/{region}/aws_ebs_volume", estate.account);
        let about = |row: &&Value| row["status"] == "error" && row["resource"] == format!("scope:{scope}");
        let reason = findings.iter().find(about).map_or("no finding", |row| row["reason"].as_str().unwrap_or_default());
        let told = done.stderr.lines().find(|line| line.contains(&scope)).unwrap_or_default();
        for words in *said {
            assert!(reason.contains(words), "{region}: `{words}` is missing in: {reason}");
            assert!(told.contains(words), "{region}: `{words}` is missing in: {told}");
        }
    }

    estate.front.weather(|_| Weather::Fair);
    estate.refresh().never_said(&["could not be read"]);
    let (mut deleted, mut expected) = (estate.deleted(), regions);
    deleted.sort();
    expected.sort_unstable();
    assert_eq!(deleted, expected);
}

#[test]
fn what_passes_within_some_attempts_is_no_failure() {
    let Some(moto) = moto() else { return };
    let regions = ["us-east-2", "us-west-1", "eu-west-1", "eu-west-2", FAIR];
    let estate = Estate::new(moto, "600000000002", &regions, "");
    let asked_before = AtomicUsize::new(0);
    estate.front.weather(move |asked| {
        if asked.action != "DescribeVolumes" {
            return Weather::Fair;
        }
        let is_first = |bit: usize| asked_before.fetch_or(1 << bit, Ordering::SeqCst) & (1 << bit) == 0;
        match asked.region.as_str() {
            "us-east-2" if is_first(0) => refused(503, "RequestLimitExceeded", "Request limit exceeded."),
            "us-west-1" if is_first(1) => refused(400, "ThrottlingException", "Rate exceeded"),
            "eu-west-1" if is_first(2) => Weather::Changed(|text| text[..text.len() / 2].to_owned()),
            "eu-west-2" if is_first(3) => Weather::Half,
            FAIR => Weather::Late(Duration::from_secs(2)),
            _ => Weather::Fair,
        }
    });
    estate.refresh().never_said(&["could not be read"]);
    assert_eq!(estate.volumes().len(), 2 * regions.len());
    assert!(regions[..4].iter().all(|region| estate.front.count("DescribeVolumes", region) == 2));
}

/// Refuses what was signed far from `there`, in the words of each service.
fn strict(asked: &Asked, there: Timestamp) -> Weather {
    let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &asked.signed).expect("it is signed");
    let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).expect("a time").timestamp();
    let code = match asked.action.as_str() {
        "GetCallerIdentity" | "AssumeRole" => "SignatureDoesNotMatch",
        _ => "RequestExpired",
    };
    match there.duration_since(signed).abs() > SignedDuration::from_mins(5) {
        true if code == "SignatureDoesNotMatch" => refused_by_sts(code),
        true => refused(403, code, "Signature expired"),
        false => Weather::Fair,
    }
}

#[test]
fn a_clock_that_is_an_hour_slow_is_corrected_by_that_of_aws() {
    let Some(moto) = moto() else { return };
    let estate = Estate::new(moto, "600000000003", &[FAIR], "");
    let ahead = SignedDuration::from_mins(60);
    estate.front.set_clock(ahead);
    estate.front.weather(move |asked| strict(asked, Timestamp::now() + ahead));
    estate.refresh().never_said(&["could not be read"]);
    assert_eq!(estate.volumes().len(), 2);
}

#[test]
fn a_clock_that_cannot_be_corrected_is_named_with_how_far_it_is_off() {
    let Some(moto) = moto() else { return };
    let estate = Estate::new(moto, "600000000004", &[FAIR], "");
    estate.front.set_clock(SignedDuration::from_mins(61));
    estate.front.weather(|asked| match asked.action.as_str() {
        "DescribeVolumes" => refused(400, "RequestExpired", "Request has expired."),
        _ => Weather::Fair,
    });
    let said = ["the clock of this machine is 60 minutes behind that of AWS", "set the clock of this machine"];
    estate.refresh().said(&said).said(&["RequestExpired: Request has expired."]);
}

#[test]
fn a_pipeline_outlives_credentials_that_are_refused_for_a_while() {
    let Some(moto) = moto() else { return };
    let estate = Estate::new(moto, "600000000005", &[FAIR], "refresh: 500ms");
    let mut running = estate.start();
    running.until("the volumes are there", || estate.volumes().len() == 2);
    estate.front.weather(|asked| match asked.action.as_str() {
        "GetCallerIdentity" => refused_by_sts("ExpiredToken"),
        _ => Weather::Fair,
    });
    let asked = || estate.front.count("GetCallerIdentity", FAIR);
    let enough = asked() + 5;
    running.until("it is asked again and again", || asked() >= enough);
    running.until_said("the credentials have expired (ExpiredToken");
    estate.delete_a_volume(FAIR);
    estate.front.weather(|_| Weather::Fair);
    running.until("it is well again", || estate.deleted() == [FAIR]);
    running.stop();
}
