// The host methods of the server (docs/json-rpc.md), each behind its permission:
//
//   log, time.now, random.bytes            every plugin
//   kv.get|set|delete|list                 permissions.state
//   http.fetch                             permissions.http
//   sql.query, sql.execute                 permissions.sql
//   rpc.call                               permissions.plugins
#pragma once

#include "contracts/json_rpc/host_methods.h"
#include "extension/rpc_targets.h"
#include "services/services.h"

namespace heddle::json_rpc {

// `targets` null: there are no other plugins. Both outlive the methods' calls.
void add_server_methods(HostMethods& methods, const services::Services& services,
                        const extension::RpcTargets* targets);

}  // namespace heddle::json_rpc
