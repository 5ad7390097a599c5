select arn as resource,
       case when versioning_mfa_delete is null then 'skip' when versioning_mfa_delete then 'ok' else 'alarm' end as status,
       case when versioning_mfa_delete is null then 'The versioning of ' || name || ' could not be read.'
            when versioning_mfa_delete then name || ' wants MFA before a version is deleted.'
            when not versioning_enabled then name || ' keeps no versions, so MFA cannot guard them.'
            else name || ' lets versions be deleted without MFA.' end as reason,
       account_id, region
from aws_s3_bucket
