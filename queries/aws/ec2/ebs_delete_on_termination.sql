select 'arn:' || coalesce(partition, 'aws') || ':ec2:' || region || ':' || account_id || ':instance/' || instance_id as resource,
       case when volume_id is null or delete_on_termination is null then 'skip'
            when delete_on_termination then 'ok'
            else 'alarm' end as status,
       case when volume_id is null then device_name || ' of ' || instance_id || ' is not an EBS volume.'
            when delete_on_termination is null
            then volume_id || ' at ' || device_name || ' of ' || instance_id || ' does not say whether it is deleted with it.'
            when delete_on_termination
            then volume_id || ' at ' || device_name || ' is deleted with ' || instance_id || '.'
            else volume_id || ' at ' || device_name || ' stays when ' || instance_id || ' is terminated.' end as reason,
       account_id, region, device_name
from aws_ec2_instance_block_device
