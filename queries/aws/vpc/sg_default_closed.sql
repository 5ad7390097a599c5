select sg.arn as resource,
       case when sg.owner_id <> sg.account_id then 'skip'
            when rules.ingress + rules.egress > 0 then 'alarm'
            else 'ok' end as status,
       sg.group_id || coalesce(' of ' || sg.vpc_id, '')
       || case when sg.owner_id <> sg.account_id then ' is shared by account ' || sg.owner_id || '.'
               when rules.ingress + rules.egress > 0
               then ' is a default group with ' || rules.ingress || ' inbound and ' || rules.egress || ' outbound '
                    || case rules.ingress + rules.egress when 1 then 'rule.' else 'rules.' end
               else ' is a default group without rules.' end as reason,
       sg.account_id, sg.region
from aws_vpc_security_group sg
left join (
  select account_id, region, group_id,
         count(*) filter (where type = 'ingress') as ingress,
         count(*) filter (where type = 'egress') as egress
  from aws_vpc_security_group_rule
  group by account_id, region, group_id
) as rules
  on rules.account_id = sg.account_id and rules.region = sg.region and rules.group_id = sg.group_id
where sg.group_name = 'default'
