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
  select f.arn, f.account_id, f.region, f.present, s.exceptions,
         coalesce(s.everywhere, '6') as everywhere
  from host_file f
  left join said s on s.account_id = f.account_id
  where f.path = '/etc/ssh/sshd_config'
),
judged as (
  select *,
         coalesce(try_cast(everywhere as bigint) > $at_most, true) as bad_everywhere
  from server
)
select arn as resource,
       case when present is null or not present then 'skip'
            when bad_everywhere or exceptions is not null then 'alarm'
            else 'ok' end as status,
       case when present is null then 'The configuration of the SSH server cannot be read by this user.'
            when not present then 'There is no SSH server with /etc/ssh/sshd_config on this machine.'
            when exceptions is null or bad_everywhere then 'MaxAuthTries is ' || everywhere || '.'
            else 'MaxAuthTries is higher where Match applies: ' || exceptions || '.' end as reason,
       account_id, region
from judged
