// SPDX-License-Identifier: MIT
//
// kvd_unit_load SOCKET exec|lock CLIENTS UNITS
//
// Load of several commands that belong together, which redis-benchmark cannot
// send. One unit of
//   exec  is MULTI, ten SETs of 100 bytes under a million keys, EXEC, sent at
//         once;
//   lock  is SET key token NX PX, and when that is answered EVALSHA of the
//         script by which libraries release locks.
// Prints units a second and milliseconds a unit: rps p50 p99. Ends at the first
// reply that is an error.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "resp/reply_parser.h"

namespace kvd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kKeys = 1'000'000;
constexpr int kSetsPerExec = 10;
constexpr size_t kValueBytes = 100;
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr std::string_view kRelease =
    "if redis.call('get',KEYS[1]) == ARGV[1] then "
    "return redis.call('del',KEYS[1]) else return 0 end";

// What is sent at once, and how many replies it has.
struct Step {
  std::string bytes;
  int replies = 0;

  void Add(const std::vector<std::string_view>& words) {
    AppendCommand(&bytes, words);
    ++replies;
  }
};

class Client {
 public:
  Client(const char* path, bool locks, std::string release_sha, unsigned seed)
      : locks_(locks), sha_(std::move(release_sha)), random_(seed) {
    fd_ = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    KVD_CHECK(std::strlen(path) < sizeof(address.sun_path));
    std::strcpy(address.sun_path, path);
    KVD_CHECK(fd_ >= 0 && connect(fd_, reinterpret_cast<sockaddr*>(&address),
                                  sizeof(address)) == 0);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int fd() const { return fd_; }
  Clock::time_point began() const { return began_; }

  void BeginUnit() {
    began_ = Clock::now();
    releases_ = false;
    Send(locks_ ? Acquire() : Exec());
  }

  // Reads what is there; true at the end of a unit.
  bool Advance() {
    char bytes[kReadBytes];
    const ssize_t got = read(fd_, bytes, sizeof(bytes));
    KVD_CHECK(got > 0);
    input_.append(bytes, static_cast<size_t>(got));
    while (replies_left_ > 0 && TakeReply()) --replies_left_;
    if (replies_left_ > 0) return false;
    if (!locks_ || releases_) return true;
    releases_ = true;
    Send(Release());
    return false;
  }

  std::string Call(const std::vector<std::string_view>& words) {
    Step step;
    step.Add(words);
    Send(step);
    char bytes[kReadBytes];
    while (!TakeReply()) {
      const ssize_t got = read(fd_, bytes, sizeof(bytes));
      KVD_CHECK(got > 0);
      input_.append(bytes, static_cast<size_t>(got));
    }
    return last_.text;
  }

 private:
  std::string Key(const char* name) {
    char key[32];
    std::snprintf(key, sizeof(key), "%s:%012d", name,
                  std::uniform_int_distribution<int>(0, kKeys - 1)(random_));
    return key;
  }

  Step Exec() {
    const std::string value(kValueBytes, 'v');
    Step step;
    step.Add({"MULTI"});
    for (int i = 0; i < kSetsPerExec; ++i) step.Add({"SET", Key("key"), value});
    step.Add({"EXEC"});
    return step;
  }

  // Of a client's own: all get theirs.
  Step Acquire() {
    key_ = Key("lock") + ":" + std::to_string(fd_);
    Step step;
    step.Add({"SET", key_, "token", "NX", "PX", "30000"});
    return step;
  }

  Step Release() {
    Step step;
    step.Add({"EVALSHA", sha_, "1", key_, "token"});
    return step;
  }

  void Send(const Step& step) {
    replies_left_ = step.replies;
    std::string_view rest = step.bytes;
    while (!rest.empty()) {
      const ssize_t sent = write(fd_, rest.data(), rest.size());
      KVD_CHECK(sent > 0);
      rest.remove_prefix(static_cast<size_t>(sent));
    }
  }

  bool TakeReply() {
    const ReplyOutcome outcome = parser_.Next(input_);
    KVD_CHECK(outcome != ReplyOutcome::kError);
    input_.erase(0, parser_.consumed());
    if (outcome == ReplyOutcome::kNeedMore) return false;
    last_ = parser_.TakeReply();
    if (last_.is_error()) {
      std::fprintf(stderr, "%s\n", last_.text.c_str());
      std::exit(1);
    }
    return true;
  }

  const bool locks_;
  const std::string sha_;
  std::mt19937 random_;
  int fd_ = -1;
  Clock::time_point began_;
  bool releases_ = false;  // The unit's second step is under way.
  int replies_left_ = 0;
  std::string key_;
  std::string input_;
  ReplyParser parser_;
  Reply last_;
};

double Milliseconds(Clock::duration took) {
  return std::chrono::duration<double, std::milli>(took).count();
}

int Main(const char* path, bool locks, int client_count, int units) {
  std::string sha;
  if (locks) {
    sha = Client(path, locks, "", 0).Call({"SCRIPT", "LOAD", kRelease});
  }
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<pollfd> polled;
  for (int i = 0; i < client_count; ++i) {
    clients.push_back(
        std::make_unique<Client>(path, locks, sha, static_cast<unsigned>(i)));
    polled.push_back({clients.back()->fd(), POLLIN, 0});
  }
  std::vector<double> took;
  const Clock::time_point began = Clock::now();
  int left = units - client_count;
  int flying = client_count;
  for (const auto& client : clients) client->BeginUnit();
  while (flying > 0) {
    KVD_CHECK(poll(polled.data(), polled.size(), -1) > 0);
    for (size_t i = 0; i < clients.size(); ++i) {
      if (polled[i].revents == 0 || !clients[i]->Advance()) continue;
      took.push_back(Milliseconds(Clock::now() - clients[i]->began()));
      if (left-- > 0) {
        clients[i]->BeginUnit();
      } else {
        --flying;
      }
    }
  }
  const double seconds = Milliseconds(Clock::now() - began) / 1000;
  std::sort(took.begin(), took.end());
  std::printf("%.1f %.3f %.3f\n", static_cast<double>(took.size()) / seconds,
              took[took.size() / 2], took[took.size() * 99 / 100]);
  return 0;
}

}  // namespace
}  // namespace kvd

int main(int argc, char** argv) {
  const std::string_view kind = argc == 5 ? argv[2] : "";
  const int clients = argc == 5 ? std::atoi(argv[3]) : 0;
  const int units = argc == 5 ? std::atoi(argv[4]) : 0;
  if ((kind != "exec" && kind != "lock") || clients <= 0 || units < clients) {
    std::fprintf(stderr,
                 "usage: kvd_unit_load SOCKET exec|lock CLIENTS UNITS\n");
    return 2;
  }
  return kvd::Main(argv[1], kind == "lock", clients, units);
}
