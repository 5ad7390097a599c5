select arn as resource,
       case when (state is distinct from 'available') or creation_date is null then 'skip'
            when creation_date < now() - cast($days || ' days' as interval) then 'alarm'
            else 'ok' end as status,
       image_id || coalesce(' (' || nullif(name, '') || ')', '')
       || case when state is distinct from 'available' then ' cannot be launched; its state is ' || coalesce(state, 'unknown') || '.'
               when creation_date is null then ' does not say when it was made.'
               else ' was made on ' || to_char(creation_date, '%Y-%m-%d') || '.' end as reason,
       account_id, region
from aws_ec2_ami
where state is distinct from 'deregistered'
