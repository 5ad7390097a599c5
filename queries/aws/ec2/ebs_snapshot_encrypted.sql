select arn as resource,
       case when encrypted is null then 'skip' when encrypted then 'ok' else 'alarm' end as status,
       snapshot_id || coalesce(' of ' || volume_id, '')
       || case when encrypted is null then ' does not say whether it is encrypted.'
               when encrypted then ' is encrypted.'
               else ' is not encrypted.' end as reason,
       account_id, region
from aws_ebs_snapshot
