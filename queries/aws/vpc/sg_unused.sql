with members as (
  select account_id, region, group_id, count(*) as interfaces
  from aws_ec2_network_interface_security_group
  group by account_id, region, group_id
),
referenced as (
  select coalesce(referenced_user_id, account_id) as account_id, region, referenced_group_id as group_id,
         string_agg(distinct group_id, ', ' order by group_id) as groups
  from aws_vpc_security_group_rule
  where referenced_group_id is not null and referenced_group_id <> group_id
  group by coalesce(referenced_user_id, account_id), region, referenced_group_id
)
select sg.arn as resource,
       case when sg.owner_id <> sg.account_id or sg.group_name = 'default' then 'skip'
            when members.interfaces > 0 or referenced.groups is not null then 'ok'
            else 'alarm' end as status,
       sg.group_id || coalesce(' (' || sg.group_name || ')', '')
       || case when sg.owner_id <> sg.account_id then ' is shared by account ' || sg.owner_id || '.'
               when sg.group_name = 'default' then ' is the default group of its VPC and cannot be deleted.'
               when members.interfaces = 1 then ' is the group of 1 network interface.'
               when members.interfaces > 1 then ' is the group of ' || members.interfaces || ' network interfaces.'
               when referenced.groups is not null then ' is named in rules of ' || referenced.groups || '.'
               else ' is the group of no network interface and is named in no rule of another group.' end as reason,
       sg.account_id, sg.region
from aws_vpc_security_group sg
left join members
  on members.account_id = sg.account_id and members.region = sg.region and members.group_id = sg.group_id
left join referenced
  on referenced.account_id = sg.account_id and referenced.region = sg.region and referenced.group_id = sg.group_id
