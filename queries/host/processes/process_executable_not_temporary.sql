with judged as (
  select *,
         executable like '/tmp/%' or executable like '/var/tmp/%' or executable like '/dev/shm/%' as is_temporary
  from host_process
)
select arn as resource,
       case when is_temporary is null then 'skip' when is_temporary then 'alarm' else 'ok' end as status,
       name || ' (pid ' || pid || ')'
       || case when is_temporary is null then ' runs a program that this user cannot see.'
               else ' runs from ' || executable || '.' end as reason,
       account_id, region, pid
from judged
