with said as (
  select account_id,
         max(lower(value)) filter (where match_block = '') as everywhere,
         string_agg(match_block, ', ' order by match_block)
           filter (where match_block <> '' and lower(value) <> 'no') as exceptions
  from host_sshd_setting
  where keyword = lower($setting) and effective
  group by account_id
),
server as (
  select f.arn, f.account_id, f.region, f.present, s.exceptions,
         coalesce(s.everywhere, $unsaid) as everywhere
  from host_file f
  left join said s on s.account_id = f.account_id
  where f.path = '/etc/ssh/sshd_config'
),
judged as (
  select *,
         everywhere <> 'no' as bad_everywhere
  from server
)
select arn as resource,
       case when present is null or not present then 'skip'
            when bad_everywhere or exceptions is not null then 'alarm'
            else 'ok' end as status,
       case when present is null then 'The configuration of the SSH server cannot be read by this user.'
            when not present then 'There is no SSH server with /etc/ssh/sshd_config on this machine.'
            when exceptions is null or bad_everywhere then $setting || ' is ' || everywhere || '.'
            else $setting || ' is allowed where Match applies: ' || exceptions || '.' end as reason,
       account_id, region
from judged
