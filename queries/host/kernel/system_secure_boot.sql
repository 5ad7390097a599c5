select arn as resource,
       case when secure_boot is null then 'skip' when secure_boot then 'ok' else 'alarm' end as status,
       case when secure_boot is null then 'This machine does not tell whether Secure Boot is on.'
            when secure_boot then 'Secure Boot is on.'
            else 'Secure Boot is off.' end as reason,
       account_id, region
from host_system
