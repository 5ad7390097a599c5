-- The reason says where, and never what: findings are written to more places than user data.
with found as (
  select arn, instance_id, user_data, account_id, region,
         regexp_instr(user_data, '(?:' || array_to_string($patterns, ')|(?:') || ')') as position
  from aws_ec2_instance
  where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
)
select arn as resource,
       case when cardinality($patterns) = 0 or user_data is null then 'skip'
            when position > 0 then 'alarm'
            else 'ok' end as status,
       case when cardinality($patterns) = 0 then 'There are no patterns to look for in the user data of ' || instance_id || '.'
            when user_data is null then instance_id || ' has no user data, or it was not collected.'
            when position > 0
            then 'The user data of ' || instance_id || ' has what looks like a secret in line '
                 || (1 + character_length(substr(user_data, 1, position - 1))
                       - character_length(replace(substr(user_data, 1, position - 1), chr(10), ''))) || '.'
            else 'No pattern of secrets matches the user data of ' || instance_id || '.' end as reason,
       account_id, region
from found
