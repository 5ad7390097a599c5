select arn as resource,
       case when value is null then 'skip' when value = '2' then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when value = '2' then name || ' is ' || value || '.'
            else name || ' is ' || value || ': not all of the address space of programs is random.' end as reason,
       account_id, region, name
from host_kernel_setting
where name = 'kernel.randomize_va_space'
