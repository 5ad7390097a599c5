-- The kernel takes such packets only where both the interface's value and that of all allow it.
with settings as (
  select *, value in ('0', '-1') as refuses, split_part(name, '.', 2) as family
  from host_kernel_setting
  where name in (
    'net.ipv4.conf.all.accept_source_route',
    'net.ipv4.conf.default.accept_source_route',
    'net.ipv6.conf.all.accept_source_route',
    'net.ipv6.conf.default.accept_source_route'
  )
),
judged as (
  select s.*, other.name as other_name, other.value as other_value,
         s.refuses or coalesce(other.refuses, false) as good
  from settings s
  left join settings other
    on other.account_id = s.account_id and other.family = s.family and other.name <> s.name
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when refuses then ' is ' || value || '.'
               when good then ' is ' || value || ', but ' || other_name || ' is ' || other_value
                              || ', and both must allow it.'
               else ' is ' || value || ': senders may choose the route.' end as reason,
       account_id, region, name
from judged
