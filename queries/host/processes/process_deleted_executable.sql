select arn as resource,
       case when deleted_executable is null then 'skip' when deleted_executable then 'alarm' else 'ok' end as status,
       'The program of ' || name || ' (pid ' || pid || ')'
       || case when deleted_executable is null then ' cannot be seen by this user.'
               when deleted_executable then ', ' || coalesce(executable, 'unknown') || ', is not on disk.'
               else ' is on disk.' end as reason,
       account_id, region, pid
from host_process
where executable is null or executable not like '/memfd:%'
