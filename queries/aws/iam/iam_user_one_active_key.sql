select arn as resource,
       case when access_key_1_active and access_key_2_active then 'alarm'
            when not access_key_1_active or not access_key_2_active then 'ok'
            else 'skip' end as status,
       case when access_key_1_active and access_key_2_active then user_name || ' has two active access keys.'
            when access_key_1_active or access_key_2_active then
              case when not access_key_1_active or not access_key_2_active then user_name || ' has one active access key.'
                   else 'The report says nothing of one of the access keys of ' || user_name || '.' end
            when not access_key_1_active and not access_key_2_active then user_name || ' has no active access key.'
            when not access_key_1_active or not access_key_2_active then user_name || ' has one active access key at most.'
            else 'The report says nothing of access keys of ' || user_name || '.' end as reason,
       account_id, region
from aws_iam_credential_report
where user_name <> '<root_account>'
