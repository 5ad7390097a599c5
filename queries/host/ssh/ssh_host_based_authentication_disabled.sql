with said as (
  select account_id,
         max(lower(value)) filter (where match_block = '') as everywhere,
         string_agg(match_block, ', ' order by match_block)
           filter (where match_block <> '' and lower(value) <> 'no') as exceptions
  from host_sshd_setting
  where keyword = 'hostbasedauthentication' and effective
  group by account_id
),
server as (
  -- What is not said is as the server has it: no.
  select f.arn, f.account_id, f.region, f.present, coalesce(s.everywhere, 'no') as everywhere, s.exceptions
  from host_file f
  left join said s on s.account_id = f.account_id
  where f.path = '/etc/ssh/sshd_config'
)
select arn as resource,
       case when present is null or not present then 'skip'
            when everywhere <> 'no' or exceptions is not null then 'alarm'
            else 'ok' end as status,
       case when present is null then 'The configuration of the SSH server cannot be read by this user.'
            when not present then 'There is no SSH server with /etc/ssh/sshd_config on this machine.'
            when everywhere <> 'no' then 'HostbasedAuthentication is ' || everywhere || '.'
            when exceptions is not null then 'HostbasedAuthentication is allowed where Match applies: ' || exceptions || '.'
            else 'HostbasedAuthentication is ' || everywhere || '.' end as reason,
       account_id, region
from server
