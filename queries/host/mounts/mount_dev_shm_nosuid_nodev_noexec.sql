select coalesce(m.arn, f.arn) as resource,
       case when m.arn is null then 'skip' when m.nosuid and m.nodev and m.noexec then 'ok' else 'alarm' end as status,
       case when m.arn is null then '/dev/shm is not a filesystem of its own.'
            when m.nosuid and m.nodev and m.noexec then '/dev/shm is mounted with nosuid, nodev and noexec.'
            else '/dev/shm is mounted without'
                 || case when m.nosuid then '' else ' nosuid' end
                 || case when m.nodev then '' else ' nodev' end
                 || case when m.noexec then '' else ' noexec' end || '.' end as reason,
       f.account_id, f.region, f.path
from host_file f
left join host_mount m on m.account_id = f.account_id and m.mount_point = f.path
where f.path = '/dev/shm' and f.present
