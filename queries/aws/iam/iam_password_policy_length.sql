-- An account that has set nothing has no row in aws_iam_account_password_policy; every account has one in the summary.
select 'arn:' || s.partition || ':iam::' || s.account_id || ':password-policy' as resource,
       case when p.account_id is null then 'alarm'
            when p.minimum_password_length is null then 'skip'
            when p.minimum_password_length < $length then 'alarm'
            else 'ok' end as status,
       case when p.account_id is null then 'Account ' || s.account_id || ' has no password policy.'
            when p.minimum_password_length is null
              then 'The least length of passwords in account ' || s.account_id || ' was not reported.'
            else 'Passwords in account ' || s.account_id || ' need ' || p.minimum_password_length || ' characters'
                 || case when p.minimum_password_length < $length then ', which is fewer than ' || $length || '.' else '.' end
            end as reason,
       s.account_id, s.region
from aws_iam_account_summary s
left join aws_iam_account_password_policy p on p.account_id = s.account_id
