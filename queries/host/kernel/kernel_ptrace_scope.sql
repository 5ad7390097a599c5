select arn as resource,
       case when value is null then 'skip' when value in ('1', '2', '3') then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when value in ('1', '2', '3') then name || ' is ' || value || '.'
            else name || ' is ' || value || ': any program can read the memory of others of the same user.' end as reason,
       account_id, region, name
from host_kernel_setting
where name = 'kernel.yama.ptrace_scope'
