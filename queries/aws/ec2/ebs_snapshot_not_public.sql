-- An encrypted snapshot cannot be made public, so it is ok even where the public ones could not be listed.
select arn as resource,
       case when is_public then 'alarm'
            when is_public is not null or encrypted then 'ok'
            else 'skip' end as status,
       snapshot_id
       || case when is_public then ' can be restored by every AWS account.'
               when is_public is not null then ' is not public.'
               when encrypted then ' is encrypted and so cannot be public.'
               else ' may be public: the public snapshots were not collected.' end as reason,
       account_id, region
from aws_ebs_snapshot
