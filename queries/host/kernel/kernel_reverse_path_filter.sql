-- The kernel applies the higher of an interface's value and that of all.
with settings as (
  select *, value in ('1', '2') as checks
  from host_kernel_setting
  where name in (
    'net.ipv4.conf.all.rp_filter',
    'net.ipv4.conf.default.rp_filter'
  )
),
judged as (
  select s.*, other.name as other_name, other.value as other_value,
         s.checks or coalesce(other.checks, false) as good
  from settings s
  left join settings other on other.account_id = s.account_id and other.name <> s.name
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when checks then ' is ' || value || '.'
               when good then ' is ' || value || ', but ' || other_name || ' is ' || other_value
                              || ', and the higher of the two counts.'
               else ' is ' || value || ': the source of packets is not checked.' end as reason,
       account_id, region, name
from judged
