with devices as (
  select account_id, string_agg(serial_number, ', ' order by serial_number) as serial_numbers
  from aws_iam_virtual_mfa_device
  where coalesce(assignment_status, 'Assigned') = 'Assigned'
    and (user_arn like 'arn:%:iam::%:root' or (user_arn is null and serial_number like '%:mfa/root-account-mfa-device'))
  group by account_id
)
select 'arn:' || s.partition || ':iam::' || s.account_id || ':root' as resource,
       case when s.account_mfa_enabled is null then case when s.account_password_present = 0 then 'ok' else 'skip' end
            when not s.account_mfa_enabled then case when s.account_password_present = 0 then 'ok' else 'alarm' end
            when d.account_id is not null then 'alarm'
            else 'ok' end as status,
       'The root user of account ' || s.account_id
       || case when coalesce(not s.account_mfa_enabled, true) and s.account_password_present = 0
                 then ' has no password to sign in with.'
               when s.account_mfa_enabled is null then ' was not reported on, whether it has MFA.'
               when not s.account_mfa_enabled then ' has no MFA at all.'
               when d.account_id is not null then ' has the virtual MFA device ' || d.serial_numbers || '.'
               else ' has hardware MFA and no virtual device.' end as reason,
       s.account_id, s.region
from aws_iam_account_summary s
left join devices d on d.account_id = s.account_id
