with judged as (
  select *,
         value in ('1', '2') as good
  from host_kernel_setting
  where name in (
    'net.ipv4.conf.all.rp_filter',
    'net.ipv4.conf.default.rp_filter'
  )
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': the source of packets is not checked.' end as reason,
       account_id, region, name
from judged
