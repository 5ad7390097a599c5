select arn as resource,
       case when default_ebs_encryption_enabled is null then 'skip'
            when default_ebs_encryption_enabled then 'ok'
            else 'alarm' end as status,
       case when default_ebs_encryption_enabled is null
            then 'Whether new volumes are encrypted in ' || region || ' was not collected.'
            when default_ebs_encryption_enabled then 'New volumes are encrypted in ' || region || '.'
            else 'New volumes are not encrypted by default in ' || region || '.' end as reason,
       account_id, region
from aws_ec2_regional_settings
