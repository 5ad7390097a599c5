-- What a cluster stores grows and shrinks by itself, and is paid by use.
select arn as resource,
       case when db_cluster_identifier is not null or storage_utilization is null then 'skip'
            when storage_utilization < $percent then 'alarm'
            else 'ok' end as status,
       db_instance_identifier
       || case when db_cluster_identifier is not null then ' has the storage of its cluster ' || db_cluster_identifier || '.'
               when storage_utilization is null then ': how full its storage is was not collected.'
               else ' uses ' || cast(storage_utilization as bigint) || ' %'
                    || coalesce(' of its ' || allocated_storage || ' GiB', ' of its storage') || '.' end as reason,
       account_id, region
from aws_rds_db_instance
where coalesce(status, '') <> 'deleting'
