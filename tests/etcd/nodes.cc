// SPDX-License-Identifier: MIT
#include "tests/etcd/nodes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <utility>

#include "base/check.h"
#include "base/unique_fd.h"
#include "fmt/format.h"

namespace kvd::etcd {
namespace {

constexpr char kEtcd[] = "/usr/bin/etcd";

// One that is free, unless somebody takes it within the next moment.
uint16_t FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  KVD_CHECK(bind(fd.get(), raw, size) == 0);
  KVD_CHECK(getsockname(fd.get(), raw, &size) == 0);
  return ntohs(address.sin_port);
}

pid_t Spawn(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  KVD_CHECK(pid >= 0);
  if (pid > 0) return pid;
  // A test that dies takes its nodes with it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  execv(argv[0], argv.data());
  _exit(127);
}

std::string PeerUrl(uint16_t port) {
  return fmt::format("http://127.0.0.1:{}", port);
}

void AppendVarint(std::string* out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out->push_back(static_cast<char>(value | 0x80));
  }
  out->push_back(static_cast<char>(value));
}

}  // namespace

bool HaveEtcd() { return access(kEtcd, X_OK) == 0; }

Nodes::Nodes(Options options)
    : options_(std::move(options)), nodes_(options_.count) {
  for (Node& node : nodes_) {
    node.client_port = FreePort();
    node.peer_port = FreePort();
  }
  for (size_t at = 0; at < size(); ++at) Start(at);
}

Nodes::~Nodes() {
  for (size_t at = 0; at < size(); ++at) Kill(at);
}

std::string Nodes::endpoint(size_t at) const {
  return fmt::format("{}://127.0.0.1:{}", options_.tls ? "https" : "http",
                     nodes_[at].client_port);
}

std::vector<std::string> Nodes::endpoints() const {
  std::vector<std::string> all;
  for (size_t at = 0; at < size(); ++at) all.push_back(endpoint(at));
  return all;
}

std::vector<std::string> Nodes::CommandLine(size_t at) const {
  std::string cluster;
  for (size_t i = 0; i < size(); ++i) {
    cluster += fmt::format("{}n{}={}", i == 0 ? "" : ",", i,
                           PeerUrl(nodes_[i].peer_port));
  }
  const std::string peer = PeerUrl(nodes_[at].peer_port);
  std::vector<std::string> words = {kEtcd,
                                    fmt::format("--name=n{}", at),
                                    "--data-dir=" + DataPath(at),
                                    "--listen-client-urls=" + endpoint(at),
                                    "--advertise-client-urls=" + endpoint(at),
                                    "--listen-peer-urls=" + peer,
                                    "--initial-advertise-peer-urls=" + peer,
                                    "--initial-cluster=" + cluster,
                                    "--initial-cluster-token=" + dir_.path(),
                                    "--logger=zap",
                                    "--log-level=error"};
  words.insert(words.end(), options_.arguments.begin(),
               options_.arguments.end());
  return words;
}

void Nodes::Start(size_t at) {
  KVD_CHECK(nodes_[at].pid < 0);
  nodes_[at].pid = Spawn(CommandLine(at), dir_.Path(fmt::format("log{}", at)));
}

std::string Nodes::DataPath(size_t at) const {
  return dir_.Path(fmt::format("n{}", at));
}

std::string Nodes::SavedPath(size_t at) const {
  return dir_.Path(fmt::format("saved{}", at));
}

void Nodes::Save() {
  for (size_t at = 0; at < size(); ++at) {
    KVD_CHECK(nodes_[at].pid < 0);
    std::filesystem::copy(DataPath(at), SavedPath(at),
                          std::filesystem::copy_options::recursive);
  }
}

void Nodes::Restore() {
  for (size_t at = 0; at < size(); ++at) {
    KVD_CHECK(nodes_[at].pid < 0);
    std::filesystem::remove_all(DataPath(at));
    std::filesystem::rename(SavedPath(at), DataPath(at));
  }
}

void Nodes::Kill(size_t at) {
  const pid_t pid = std::exchange(nodes_[at].pid, -1);
  if (pid < 0) return;
  kill(pid, SIGKILL);
  KVD_CHECK(waitpid(pid, nullptr, 0) == pid);
}

void Nodes::Pause(size_t at) { kill(nodes_[at].pid, SIGSTOP); }

void Nodes::Resume(size_t at) { kill(nodes_[at].pid, SIGCONT); }

void Nodes::Compact(int64_t revision) {
  // CompactionRequest: revision (1), physical (2).
  std::string message = "\x08";
  AppendVarint(&message, static_cast<uint64_t>(revision));
  message += "\x10\x01";
  const grpc::Slice slice(message);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::ClientContext context;
  grpc::GenericStub stub(
      grpc::CreateChannel(fmt::format("127.0.0.1:{}", nodes_[0].client_port),
                          grpc::InsecureChannelCredentials()));
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/etcdserverpb.KV/Compact", {}, &request, &response,
                 [&](grpc::Status status) { done.set_value(status); });
  KVD_CHECK(done.get_future().get().ok());
}

}  // namespace kvd::etcd
