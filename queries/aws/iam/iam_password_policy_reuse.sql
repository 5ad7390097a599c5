-- An account that has set nothing has no row in aws_iam_account_password_policy; every account has one in the summary.
select 'arn:' || s.partition || ':iam::' || s.account_id || ':password-policy' as resource,
       case when coalesce(p.password_reuse_prevention, 0) < $passwords then 'alarm' else 'ok' end as status,
       case when p.account_id is null then 'Account ' || s.account_id || ' has no password policy.'
            when coalesce(p.password_reuse_prevention, 0) = 0
              then 'Account ' || s.account_id || ' lets earlier passwords be used again.'
            else 'Account ' || s.account_id || ' refuses the last ' || p.password_reuse_prevention || ' passwords'
                 || case when p.password_reuse_prevention < $passwords then ', which is fewer than ' || $passwords || '.' else '.' end
            end as reason,
       s.account_id, s.region
from aws_iam_account_summary s
left join aws_iam_account_password_policy p on p.account_id = s.account_id
