select arn as resource,
       case when versioning_enabled is null then 'skip' when versioning_enabled then 'ok' else 'alarm' end as status,
       case when versioning_enabled is null then 'The versioning of ' || name || ' could not be read.'
            when versioning_enabled then name || ' keeps versions of its objects.'
            else name || ' does not keep versions of its objects.' end as reason,
       account_id, region
from aws_s3_bucket
