"""moto, with what AWS has and moto lacks: filters that it answers with a crash or with everything, booleans as XML writes
them (`true`, where Python writes `True`), text that is no CDATA, and GMT in the reasons of stopped instances."""

import moto.core.responses as responses
import moto.ec2.responses.launch_templates as launch_templates
import moto.route53.models as route53
import moto.route53.responses as route53_responses
from moto.ec2.models.network_acls import NetworkAcl
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.models.vpn_connections import VPNConnection
from moto.ec2.responses.vpc_peering_connections import DESCRIBE_VPC_PEERING_CONNECTIONS_RESPONSE, VPCPeeringConnections
from moto.server import main


def as_aws_writes(value):
    if isinstance(value, str) and value.startswith("User initiated ("):
        return value.replace(" UTC)", " GMT)")
    return str(value).lower() if isinstance(value, bool) else value


class Environment(responses.Environment):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, finalize=as_aws_writes, **options)


responses.Environment = Environment
serialize = launch_templates.xml_serialize
launch_templates.xml_serialize = lambda tree, key, value: serialize(tree, key, as_aws_writes(value))

template = route53.Template
route53.Template = lambda text: template(text, finalize=as_aws_writes)

records = route53_responses.LIST_RRSET_RESPONSE
route53_responses.LIST_RRSET_RESPONSE = records.replace("<![CDATA[{{ resource }}]]>", "{{ resource | e }}")

own_id = property(lambda resource: resource.id)
NetworkAcl.network_acl_id = own_id
VPCEndPoint.vpc_endpoint_id = own_id
VPNConnection.vpn_connection_id = own_id


def describe_vpc_peering_connections(self):
    wanted = self._filters_from_querystring().get("vpc-peering-connection-id")
    listed = self.ec2_backend.describe_vpc_peering_connections(vpc_peering_ids=self._get_multi_param("VpcPeeringConnectionId"))
    found = [peering for peering in listed if wanted is None or peering.id in wanted]
    return self.response_template(DESCRIBE_VPC_PEERING_CONNECTIONS_RESPONSE).render(vpc_pcxs=found)


VPCPeeringConnections.describe_vpc_peering_connections = describe_vpc_peering_connections

if __name__ == "__main__":
    main()
