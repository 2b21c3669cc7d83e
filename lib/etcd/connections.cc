// SPDX-License-Identifier: MIT
#include "etcd/connections.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "etcd/choice.h"
#include "etcd/errors.h"
#include "etcd/methods.h"

namespace kvd::etcd {
namespace {

// How soon a broken connection is tried again, at first and at most.
constexpr int kReconnectMs = 100;
constexpr int kReconnectMaxMs = 1000;
// How often idle connections are looked at.
constexpr int64_t kLookMs = 250;
// etcd ends connections that ask more often than every 5 s (its
// --grpc-keepalive-min-time) whether it is there.
constexpr int kKeepaliveMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 3'000;

grpc::ChannelArguments Arguments(int64_t connect_timeout_ms) {
  grpc::ChannelArguments arguments;
  // A page of keys and what a watch tells may be larger than the 4 MiB that are
  // the default; both are bounded by what is asked for.
  arguments.SetMaxReceiveMessageSize(-1);
  // A Txn must never be sent twice behind our back.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Whatever http_proxy says: the endpoints are where they are said to be.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // The time that an attempt to connect may take, by its other name.
  arguments.SetInt(
      GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
      static_cast<int>(std::min<int64_t>(connect_timeout_ms, INT_MAX)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  return arguments;
}

}  // namespace

Connections::Connections(EventThread& thread, std::vector<Endpoint> endpoints,
                         const ConnectionOptions& options)
    : thread_(thread) {
  const grpc::ChannelArguments arguments =
      Arguments(options.connect_timeout_ms);
  for (Endpoint& endpoint : endpoints) {
    const auto& credentials = endpoint.tls ? options.tls : options.plain;
    Connection& connection = connections_.emplace_back();
    connection.channel =
        grpc::CreateCustomChannel(endpoint.Target(), credentials, arguments);
    connection.endpoint = std::move(endpoint);
  }
  KeepConnecting();
}

Connections::~Connections() {
  thread_.Cancel(timer_);
  for (const Connection& connection : connections_) {
    if (connection.probe != nullptr) connection.probe->Abandon();
  }
}

std::optional<size_t> Connections::Choose(const std::vector<bool>& excluded) {
  std::vector<Candidate> candidates(size());
  for (size_t i = 0; i < size(); ++i) {
    const bool connected =
        connections_[i].channel->GetState(true) == GRPC_CHANNEL_READY;
    candidates[i] = {
        .usable = connected && !(i < excluded.size() && excluded[i]),
        .blamed_ms = connections_[i].blamed_ms};
  }
  const std::optional<size_t> chosen = etcd::Choose(candidates, current_);
  if (chosen && excluded.empty()) current_ = *chosen;
  return chosen;
}

void Connections::Blame(size_t at) {
  connections_[at].blamed_ms = thread_.NowMs();
}

void Connections::Praise(size_t at) {
  connections_[at].blamed_ms = 0;
  connections_[at].trouble.clear();
}

bool Connections::Accept(size_t at, const wire::ResponseHeader& header) {
  if (cluster_id_ == 0) cluster_id_ = header.cluster_id();
  if (header.cluster_id() != cluster_id_) {
    SetTrouble(at, fmt::format("it belongs to another cluster, {:x} instead of "
                               "{:x}: name only members of one",
                               header.cluster_id(), cluster_id_));
    Blame(at);
    return false;
  }
  revision_ = std::max(revision_, header.revision());
  return true;
}

std::string Connections::Troubles() const {
  std::string text;
  for (const Connection& connection : connections_) {
    if (!text.empty()) text += "; ";
    text += connection.endpoint.name + ": ";
    text +=
        connection.trouble.empty() ? "it does not answer" : connection.trouble;
  }
  return text;
}

void Connections::SetTrouble(size_t at, std::string trouble) {
  connections_[at].trouble = std::move(trouble);
}

void Connections::KeepConnecting() {
  for (size_t at = 0; at < size(); ++at) {
    Connection& connection = connections_[at];
    const grpc_connectivity_state state = connection.channel->GetState(true);
    const bool connected = state == GRPC_CHANNEL_READY;
    // Why it could not be reached counts no more.
    if (connected && !connection.connected) connection.trouble.clear();
    connection.connected = connected;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) AskWhy(at);
  }
  timer_ = thread_.After(kLookMs, [this] { KeepConnecting(); });
}

// Only a request tells why there is no connection; this one fails at once.
void Connections::AskWhy(size_t at) {
  if (connections_[at].probe != nullptr) return;
  connections_[at].probe = Attempt<wire::StatusResponse>::Start(
      thread_, connections_[at].channel,
      {.name = kStatusMethod, .needs_leader = false}, wire::StatusRequest(),
      kLookMs, [this, at](const grpc::Status& status, wire::StatusResponse*) {
        connections_[at].probe = nullptr;
        if (status.ok()) return;
        SetTrouble(at, Explain(connections_[at].endpoint, status));
      });
}

}  // namespace kvd::etcd
