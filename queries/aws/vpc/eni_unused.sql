select arn as resource,
       case when owner_id <> account_id or status is null then 'skip'
            when status <> 'available' then 'ok'
            when requester_managed then 'skip'
            else 'alarm' end as status,
       network_interface_id
       || case when owner_id <> account_id then ' belongs to account ' || owner_id || '.'
               when status is null then ': its state was not collected.'
               when status <> 'available'
               then ' is ' || status || coalesce(' by ' || nullif(attached_instance_id, ''), '') || '.'
               when requester_managed
               then ' is attached to nothing, but managed by ' || coalesce(nullif(requester_id, ''), 'AWS') || '.'
               else ' is attached to nothing.' end as reason,
       account_id, region
from aws_ec2_network_interface
