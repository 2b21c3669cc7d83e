// SPDX-License-Identifier: MIT
#include "etcd/wire.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace kvd::etcd {
namespace {

// How StatusResponse.errors names an alarm, among other things.
constexpr std::string_view kAlarmMark = "alarm:";

void ToWire(Op&& op, wire::RequestOp* out) {
  switch (op.kind) {
    case Op::Kind::kPut:
      out->mutable_put()->set_key(std::move(op.key));
      out->mutable_put()->set_value(std::move(op.value));
      return;
    case Op::Kind::kDelete:
      out->mutable_delete_range()->set_key(std::move(op.key));
      return;
    case Op::Kind::kGet:
      out->mutable_range()->set_key(std::move(op.key));
      return;
  }
}

void ToWire(Compare&& compare, wire::Compare* out) {
  out->set_key(std::move(compare.key));
  out->set_result(wire::Compare::EQUAL);
  if (compare.target == Compare::Target::kModRevision) {
    out->set_target(wire::Compare::MOD);
    out->set_mod_revision(compare.mod_revision);
  } else {
    out->set_target(wire::Compare::VALUE);
    out->set_value(std::move(compare.value));
  }
}

KeyValue FromWire(wire::KeyValue* kv) {
  return {.key = std::move(*kv->mutable_key()),
          .value = std::move(*kv->mutable_value()),
          .create_revision = kv->create_revision(),
          .mod_revision = kv->mod_revision()};
}

void TakeFound(wire::RangeResponse* response, std::vector<KeyValue>* found) {
  for (wire::KeyValue& kv : *response->mutable_kvs()) {
    found->push_back(FromWire(&kv));
  }
}

// "memberID:123 alarm:NOSPACE " names one.
void TakeAlarm(std::string_view text, std::vector<std::string>* alarms) {
  const size_t mark = text.find(kAlarmMark);
  if (mark == text.npos) return;
  text.remove_prefix(mark + kAlarmMark.size());
  const std::string_view name = text.substr(0, text.find(' '));
  if (std::find(alarms->begin(), alarms->end(), name) == alarms->end()) {
    alarms->emplace_back(name);
  }
}

}  // namespace

wire::TxnRequest ToWire(TxnRequest request) {
  wire::TxnRequest out;
  for (Compare& compare : request.compares) {
    ToWire(std::move(compare), out.add_compare());
  }
  for (Op& op : request.then) ToWire(std::move(op), out.add_success());
  for (Op& op : request.otherwise) ToWire(std::move(op), out.add_failure());
  return out;
}

wire::RangeRequest ToWire(RangeRequest request) {
  wire::RangeRequest out;
  out.set_key(std::move(request.key));
  out.set_range_end(std::move(request.range_end));
  out.set_limit(request.limit);
  out.set_revision(request.revision);
  out.set_keys_only(request.keys_only);
  return out;
}

TxnResponse FromWire(wire::TxnResponse* response) {
  TxnResponse out;
  out.succeeded = response->succeeded();
  out.revision = response->header().revision();
  for (wire::ResponseOp& op : *response->mutable_responses()) {
    if (op.has_range()) TakeFound(op.mutable_range(), &out.found);
  }
  return out;
}

RangeResponse FromWire(wire::RangeResponse* response) {
  RangeResponse out;
  out.revision = response->header().revision();
  out.more = response->more();
  out.found.reserve(response->kvs_size());
  TakeFound(response, &out.found);
  return out;
}

std::vector<Event> EventsFromWire(wire::WatchResponse* response) {
  std::vector<Event> events;
  events.reserve(response->events_size());
  for (wire::Event& event : *response->mutable_events()) {
    events.push_back({.is_delete = event.type() == wire::Event::DELETE,
                      .kv = FromWire(event.mutable_kv())});
  }
  return events;
}

MemberStatus FromWire(const wire::StatusResponse& response) {
  MemberStatus out;
  out.version = response.version();
  out.member_id = response.header().member_id();
  out.leader_id = response.leader();
  out.is_learner = response.is_learner();
  out.revision = response.header().revision();
  out.raft_index = response.raft_index();
  out.db_size_bytes = response.db_size();
  out.db_size_in_use_bytes = response.db_size_in_use();
  out.db_quota_bytes = response.db_size_quota();
  for (const std::string& error : response.errors()) {
    TakeAlarm(error, &out.alarms);
  }
  return out;
}

}  // namespace kvd::etcd
