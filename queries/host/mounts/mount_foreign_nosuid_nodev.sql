select arn as resource,
       case when nosuid and nodev then 'ok' else 'alarm' end as status,
       mount_point || ' (' || fstype || ') is mounted '
       || case when nosuid and nodev then 'with nosuid and nodev.'
               when nosuid then 'without nodev.'
               when nodev then 'without nosuid.'
               else 'without nosuid and nodev.' end as reason,
       account_id, region, mount_point
from host_mount
where array_has($types, fstype) or fstype like 'fuse.%'
