// SPDX-License-Identifier: MIT
//
// Between the values of api.h and etcd's messages.
#pragma once

#include <vector>

#include "etcd/api.h"
#include "etcd/wire.pb.h"

namespace kvd::etcd {

wire::TxnRequest ToWire(TxnRequest request);
wire::RangeRequest ToWire(RangeRequest request);

// These move the strings out of the message.
TxnResponse FromWire(wire::TxnResponse* response);
RangeResponse FromWire(wire::RangeResponse* response);
std::vector<Event> EventsFromWire(wire::WatchResponse* response);
// All but the endpoint.
MemberStatus FromWire(const wire::StatusResponse& response);

}  // namespace kvd::etcd
