with said as (
  select account_id,
         max(lower(value)) filter (where match_block = '') as everywhere,
         string_agg(match_block, ', ' order by match_block)
           filter (where match_block <> '' and coalesce(try_cast(value as bigint) > $at_most, true)) as exceptions
  from host_sshd_setting
  where keyword = 'maxauthtries' and effective
  group by account_id
),
server as (
  -- What is not said is as the server has it: 6.
  select f.arn, f.account_id, f.region, f.present, coalesce(s.everywhere, '6') as everywhere, s.exceptions
  from host_file f
  left join said s on s.account_id = f.account_id
  where f.path = '/etc/ssh/sshd_config'
)
select arn as resource,
       case when present is null or not present then 'skip'
            when coalesce(try_cast(everywhere as bigint) > $at_most, true) or exceptions is not null then 'alarm'
            else 'ok' end as status,
       case when present is null then 'The configuration of the SSH server cannot be read by this user.'
            when not present then 'There is no SSH server with /etc/ssh/sshd_config on this machine.'
            when coalesce(try_cast(everywhere as bigint) > $at_most, true) then 'MaxAuthTries is ' || everywhere || '.'
            when exceptions is not null then 'MaxAuthTries is higher where Match applies: ' || exceptions || '.'
            else 'MaxAuthTries is ' || everywhere || '.' end as reason,
       account_id, region
from server
