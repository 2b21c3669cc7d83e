// SPDX-License-Identifier: MIT
#include "etcd/errors.h"

namespace kvd::etcd {
namespace {

// Source: etcd's rpctypes/error.go, and where each of these is returned.
struct Words {
  std::string_view part;  // Of the message.
  Verdict verdict;
};
constexpr Words kWords[] = {
    // Refused before it was proposed.
    {"etcdserver: no leader", {ErrorCode::kUnavailable, true}},
    {"raft proposal dropped", {ErrorCode::kUnavailable, true}},
    {"etcdserver: too many requests", {ErrorCode::kUnavailable, true}},
    {"etcdserver: not capable", {ErrorCode::kUnavailable, true}},
    // Users or roles were changed while it was under way.
    {"revision of auth store is old", {ErrorCode::kUnavailable, true}},
    {"etcdserver: rpc not supported for learner",
     {ErrorCode::kUnavailable, true}},
    // Never sent.
    {"failed to connect to all addresses", {ErrorCode::kUnavailable, true}},
    // Refused.
    {"database space exceeded", {ErrorCode::kResources, false}},
    {"required revision has been compacted", {ErrorCode::kCompacted, false}},
    {"received message larger than max", {ErrorCode::kInvalid, false}},
};

bool IsRefusal(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::DATA_LOSS:
    case grpc::StatusCode::UNAUTHENTICATED:
      return true;
    default:
      return false;
  }
}

struct Advice {
  std::string_view part;  // Of what gRPC says.
  std::string_view text;
};
constexpr std::string_view kUnreachable =
    "its host cannot be reached: is it up, and does a firewall let this one "
    "in?";
constexpr std::string_view kUnverified =
    "its certificate has expired or is not signed by the CA: name the CA that "
    "signed it";
constexpr Advice kAdvice[] = {
    {"onnection refused", "nobody listens there"},
    {"tcp handshaker shutdown", kUnreachable},
    {"No route to host", kUnreachable},
    {"Network is unreachable", kUnreachable},
    {"keepalive watchdog timeout", "it does not answer"},
    {"before receiving SETTINGS frame",
     "it takes connections and answers nothing"},
    {"ertificate verify failed", kUnverified},
    {"CERTIFICATE_VERIFY_FAILED", kUnverified},
    {"Hostname Verification Check failed",
     "its certificate is for other names: use a name that is in it"},
    {"is not in peer certificate",
     "its certificate is for other names: use a name that is in it"},
    {"rong version number", "it does not speak TLS: use http://"},
    {"WRONG_VERSION_NUMBER", "it does not speak TLS: use http://"},
    // gRPC cannot make anything of the files.
    {"empty address list",
     "the certificates cannot be used: do certificate and key belong "
     "together?"},
    {"Domain name not found", "its name cannot be resolved"},
    {"DNS resolution failed", "its name cannot be resolved"},
    // With etcd's auth enabled.
    {"user name is empty",
     "it wants to know who asks: kvd needs a client certificate whose CN is "
     "the name of a user of etcd"},
    {"permission denied",
     "the user named in kvd's certificate needs a role that may read and write "
     "all keys under etcd.prefix"},
};

// Without what gRPC says before it: that it has tried all addresses, and which.
std::string_view Cause(std::string_view message) {
  constexpr std::string_view kBefore = "last error: ";
  const size_t before = message.find(kBefore);
  if (before == message.npos) return message;
  const std::string_view last = message.substr(before + kBefore.size());
  const size_t address = last.find(": ipv");
  if (address == last.npos) return last;
  const size_t end = last.find(": ", address + 1);
  return end == last.npos ? last : last.substr(end + 2);
}

}  // namespace

Verdict Judge(const grpc::Status& status, bool changes) {
  for (const Words& words : kWords) {
    if (status.error_message().find(words.part) != std::string::npos) {
      return words.verdict;
    }
  }
  if (IsRefusal(status.error_code())) return {ErrorCode::kInvalid, false};
  if (changes) return {ErrorCode::kTimeout, false};
  return {ErrorCode::kUnavailable, true};
}

std::string Explain(const Endpoint& endpoint, const grpc::Status& status) {
  const std::string& message = status.error_message();
  if (status.ok()) return "it has ended the stream";
  for (const Advice& advice : kAdvice) {
    if (message.find(advice.part) != std::string::npos) {
      return fmt::format("{} ({})", advice.text, Cause(message));
    }
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return fmt::format("it is not etcd, version 3 ({})", message);
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return "it does not answer";
  }
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE ||
      message.starts_with("etcdserver:")) {
    return message;
  }
  const std::string_view question =
      endpoint.tls
          ? "does it speak TLS (if not, use http://), and is the "
            "client certificate that it may want signed by its CA, for "
            "clientAuth, and not expired? Its log says more"
          : "does it want https://?";
  return fmt::format("the connection broke: {} ({})", question, Cause(message));
}

}  // namespace kvd::etcd
