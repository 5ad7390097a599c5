select arn as resource,
       case when deleted_executable is null then 'skip' when deleted_executable then 'alarm' else 'ok' end as status,
       case when deleted_executable is null then 'The program of ' || name || ' (pid ' || pid || ') cannot be seen by this user.'
            when deleted_executable then 'The program of ' || name || ' (pid ' || pid || '), ' || executable || ', is no longer on disk.'
            else 'The program of ' || name || ' (pid ' || pid || ') is on disk.' end as reason,
       account_id, region, pid
from host_process
