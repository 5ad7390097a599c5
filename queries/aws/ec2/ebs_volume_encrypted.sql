select arn as resource,
       case when (state is distinct from 'in-use') or encrypted is null then 'skip'
            when encrypted then 'ok'
            else 'alarm' end as status,
       volume_id
       || case when state is distinct from 'in-use' then ' is not attached; its state is ' || coalesce(state, 'unknown') || '.'
               when encrypted is null then ' does not say whether it is encrypted.'
               when encrypted then ' is encrypted.'
               else ' is attached and not encrypted.' end as reason,
       account_id, region
from aws_ebs_volume
