-- Spot instances cannot be protected, and the instances of an Auto Scaling group are meant to come and go.
select arn as resource,
       case when instance_lifecycle = 'spot' or tags['aws:autoscaling:groupName'] is not null
                 or disable_api_termination is null then 'skip'
            when disable_api_termination then 'ok'
            else 'alarm' end as status,
       case when instance_lifecycle = 'spot' then instance_id || ' is a spot instance, which cannot be protected.'
            when tags['aws:autoscaling:groupName'] is not null
            then instance_id || ' belongs to the Auto Scaling group ' || tags['aws:autoscaling:groupName'] || '.'
            when disable_api_termination is null then 'The termination protection of ' || instance_id || ' was not collected.'
            when disable_api_termination then instance_id || ' is protected from termination.'
            else instance_id || ' can be terminated by a single call.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
