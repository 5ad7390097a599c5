with judged as (
  select *,
         executable like '/tmp/%' or executable like '/var/tmp/%' or executable like '/dev/shm/%' as is_temporary,
         executable like '/memfd:%' as is_in_memory,
         array_has($allowed_in_memory, substr(executable, 8)) as is_allowed
  from host_process
)
select arn as resource,
       case when executable is null then 'skip'
            when is_temporary or (is_in_memory and not is_allowed) then 'alarm'
            else 'ok' end as status,
       name || ' (pid ' || pid || ')'
       || case when executable is null then ' runs a program that this user cannot see.'
               when is_in_memory then ' runs from memory, without a file: ' || substr(executable, 8) || '.'
               else ' runs from ' || executable || '.' end as reason,
       account_id, region, pid
from judged
