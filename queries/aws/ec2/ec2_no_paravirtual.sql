select arn as resource,
       case when virtualization_type is null then 'skip'
            when virtualization_type = 'paravirtual' then 'alarm'
            else 'ok' end as status,
       case when virtualization_type is null then 'The virtualisation of ' || instance_id || ' was not collected.'
            when virtualization_type = 'paravirtual'
            then instance_id || coalesce(' (' || instance_type || ')', '') || ' is paravirtual.'
            else instance_id || ' is virtualised by hardware.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
