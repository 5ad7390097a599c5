select arn as resource,
       case when snapshot_block_public_access_state is null then 'skip'
            when snapshot_block_public_access_state = 'block-all-sharing' then 'ok'
            else 'alarm' end as status,
       case when snapshot_block_public_access_state is null
            then 'Whether ' || region || ' blocks public snapshots was not collected.'
            when snapshot_block_public_access_state = 'block-all-sharing' then region || ' blocks public access to all snapshots.'
            when snapshot_block_public_access_state = 'block-new-sharing'
            then region || ' keeps further snapshots from being made public, but those that are public stay so.'
            else region || ' does not block public access to snapshots.' end as reason,
       account_id, region
from aws_ec2_regional_settings
