// SPDX-License-Identifier: MIT
//
// kvd_ceiling SOCKET VALUE_BYTES
//
// The ceiling of the benchmarks: what libuv, the kernel's sockets and the load
// generator leave room for. It reads RESP as any server must and then stores
// nothing, looks nothing up and answers constants. Replies to all that one read
// brought leave in one write.
#include <uv.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace kvd {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kValueBytesMax = size_t{64} << 20;

// Takes "<mark><number>\r\n" off `input`; false when it is not all there.
bool TakeNumber(std::string_view* input, char mark, size_t* number) {
  const size_t end = input->find('\n');
  if (end == std::string_view::npos) return false;
  KVD_CHECK(input->front() == mark);
  const auto parsed =
      std::from_chars(input->data() + 1, input->data() + end, *number);
  KVD_CHECK(parsed.ec == std::errc());
  input->remove_prefix(end + 1);
  return true;
}

// Takes a command off `input` and leaves its words; false, with `input` as it
// was, when it is not all there. Load that is not RESP ends the program.
bool TakeCommand(std::string_view* input,
                 std::vector<std::string_view>* words) {
  std::string_view rest = *input;
  words->clear();
  if (rest.empty()) return false;
  if (rest.front() != '*') {  // Inline; the name is all that matters.
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return false;
    words->push_back(rest.substr(0, rest.find_first_of(" \r\n")));
    input->remove_prefix(end + 1);
    return true;
  }
  size_t count = 0;
  if (!TakeNumber(&rest, '*', &count)) return false;
  for (size_t i = 0; i < count; ++i) {
    size_t size = 0;
    if (!TakeNumber(&rest, '$', &size) || rest.size() < size + 2) return false;
    words->push_back(rest.substr(0, size));
    rest.remove_prefix(size + 2);
  }
  *input = rest;
  return true;
}

// Owns itself; gone once its client is.
class Client {
 public:
  static void Accept(uv_stream_t* listener, const std::string& value_reply) {
    auto* client = new Client(value_reply);
    KVD_CHECK(uv_pipe_init(listener->loop, &client->pipe_, /*ipc=*/0) == 0);
    client->pipe_.data = client;
    KVD_CHECK(uv_accept(listener, client->stream()) == 0);
    client->Read();
  }

 private:
  explicit Client(const std::string& value_reply) : value_reply_(value_reply) {}

  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&pipe_); }

  void Read() {
    const auto on_room = [](uv_handle_t* handle, size_t, uv_buf_t* room) {
      auto* self = static_cast<Client*>(handle->data);
      if (self->input_.size() - self->filled_ < kReadBytes) {
        self->input_.resize(self->input_.size() * 2 + kReadBytes);
      }
      *room = uv_buf_init(
          self->input_.data() + self->filled_,
          static_cast<unsigned>(self->input_.size() - self->filled_));
    };
    const auto on_read = [](uv_stream_t* stream, ssize_t count,
                            const uv_buf_t*) {
      static_cast<Client*>(stream->data)->OnRead(count);
    };
    KVD_CHECK(uv_read_start(stream(), on_room, on_read) == 0);
  }

  void OnRead(ssize_t count) {
    if (count < 0) return Close();
    filled_ += static_cast<size_t>(count);
    std::string_view input(input_.data(), filled_);
    while (TakeCommand(&input, &words_)) Answer();
    std::memmove(input_.data(), input.data(), input.size());
    filled_ = input.size();
    Write();
  }

  void Answer() {
    const std::string_view name = words_.empty() ? "" : words_.front();
    if (name == "GET") {
      replies_ += value_reply_;
    } else if (name == "INCR" || name == "DEL") {
      replies_ += ":1\r\n";
    } else if (name == "PING") {
      replies_ += "+PONG\r\n";
    } else if (name == "CONFIG" || name == "COMMAND") {
      replies_ += "*0\r\n";
    } else {
      replies_ += "+OK\r\n";
    }
  }

  // Sends the replies; what the socket has no room for keeps from reading on.
  void Write() {
    if (replies_.empty()) return;
    uv_buf_t bytes =
        uv_buf_init(replies_.data(), static_cast<unsigned>(replies_.size()));
    const int sent = uv_try_write(stream(), &bytes, 1);
    if (sent < 0 && sent != UV_EAGAIN) return Close();
    const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
    if (done == replies_.size()) return replies_.clear();
    uv_read_stop(stream());
    bytes.base += done;
    bytes.len -= done;
    const auto on_written = [](uv_write_t* request, int status) {
      auto* self = static_cast<Client*>(request->handle->data);
      self->replies_.clear();
      if (status == 0) self->Read();
      if (status < 0 && status != UV_ECANCELED) self->Close();
    };
    KVD_CHECK(uv_write(&write_, stream(), &bytes, 1, on_written) == 0);
  }

  void Close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&pipe_), [](uv_handle_t* pipe) {
      delete static_cast<Client*>(pipe->data);
    });
  }

  const std::string& value_reply_;
  uv_pipe_t pipe_;
  uv_write_t write_;
  std::vector<char> input_;
  size_t filled_ = 0;
  std::vector<std::string_view> words_;  // Of one command, in input_.
  std::string replies_;
};

int Serve(const char* path, size_t value_bytes) {
  std::signal(SIGPIPE, SIG_IGN);  // Load generators are killed at work.
  std::string value_reply = "$" + std::to_string(value_bytes) + "\r\n" +
                            std::string(value_bytes, 'v') + "\r\n";
  uv_loop_t* loop = uv_default_loop();
  uv_pipe_t listener;
  KVD_CHECK(uv_pipe_init(loop, &listener, /*ipc=*/0) == 0);
  listener.data = &value_reply;
  const auto on_client = [](uv_stream_t* stream, int status) {
    if (status < 0) return;
    Client::Accept(stream, *static_cast<std::string*>(stream->data));
  };
  int failed = uv_pipe_bind(&listener, path);
  if (failed == 0) {
    failed =
        uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 1024, on_client);
  }
  if (failed != 0) {
    std::fprintf(stderr, "kvd_ceiling: %s: %s\n", path, uv_strerror(failed));
    return 1;
  }
  return uv_run(loop, UV_RUN_DEFAULT);  // Until a signal ends the program.
}

}  // namespace
}  // namespace kvd

int main(int argc, char** argv) {
  const size_t value_bytes =
      argc == 3 ? std::strtoul(argv[2], nullptr, 10) : size_t{0};
  if (value_bytes < 1 || value_bytes > kvd::kValueBytesMax) {
    std::fprintf(stderr, "usage: kvd_ceiling SOCKET VALUE_BYTES\n");
    return 2;
  }
  return kvd::Serve(argv[1], value_bytes);
}
