// SPDX-License-Identifier: MIT
#include "daemon/loop/connection.h"

#include <algorithm>
#include <array>
#include <memory>

#include "base/check.h"
#include "base/planted_bug.h"
#include "config/units.h"
#include "daemon/host/logging.h"
#include "daemon/loop/listener.h"
#include "resp/reply_writer.h"

namespace kvd {
namespace {

// Words that are parsed, so that a command of too many for limits.arguments
// meets a clear error, not a closed connection.
constexpr size_t kParsedWordsMax = size_t{1} << 20;

ParserLimits LimitsOf(const Config::Limits& limits) {
  ParserLimits parser;
  parser.arguments_max =
      std::max(static_cast<size_t>(limits.arguments), kParsedWordsMax);
  // The same for a value that is too large, as long as it fits the input.
  parser.bulk_bytes_max = limits.input_bytes;
  parser.command_bytes_max = limits.input_bytes;
  return parser;
}

uv_stream_t* AsStream(const UvPtr<uv_pipe_t>& pipe) {
  return reinterpret_cast<uv_stream_t*>(pipe.get());
}

// Smaller messages are copied to each who gets them: that costs less than to
// keep track of them.
constexpr size_t kSharedBytesMin = 1024;

// What one try to write takes at most: a socket rarely has room for more.
constexpr size_t kBuffersAtOnce = 64;

// Calls `each` with buffers of `bytes`: libuv takes 32 bits of length in one.
template <typename Each>
void ForEachBuffer(std::string_view bytes, Each each) {
  constexpr size_t kBufferBytesMax = size_t{1} << 30;
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kBufferBytesMax);
    each(uv_buf_init(const_cast<char*>(bytes.data()),
                     static_cast<unsigned>(size)));
    bytes.remove_prefix(size);
  }
}

}  // namespace

Connection::Connection(EventLoop& loop, UniqueFd client, uint64_t id,
                       ServerState& service, ConnectionListener& listener)
    : loop_(loop),
      service_(service),
      listener_(listener),
      commands_(LimitsOf(service.config.limits)) {
  session_.id = id;
  session_.inbox = this;
  session_.fd = client.get();
  session_.connected_ms = session_.active_ms = service.NowMs();
  const Peer peer = PeerOf(client.get());
  session_.pid = peer.pid;
  session_.uid = peer.uid;
  auto* pipe = new uv_pipe_t;
  // Without ipc libuv reads plainly: descriptors sent along are discarded.
  KVD_CHECK(uv_pipe_init(loop.get(), pipe, /*ipc=*/0) == 0);
  pipe->data = this;
  pipe_.reset(pipe);
  if (uv_pipe_open(pipe, client.get()) != 0) {
    Close();
    return;
  }
  std::ignore = client.Release();
  SetReading(true);
}

size_t Connection::ParseAhead(KeysAhead& keys) {
  if (commands_.ParseAhead(input_.view())) {
    session_.pipelines = commands_.together() > 1;
    commands_.HashKeys([&](std::string_view key) {
      return keys.Tell(session_.database, key);
    });
  }
  return commands_.left();
}

BatchedCommands& Connection::batched() {
  if (batched_ == nullptr) batched_ = std::make_unique<BatchedCommands>();
  return *batched_;
}

void Connection::PutOffParked() {
  if (parked_ && !RunsAgain()) {
    batched().RunThen(args(), session_.is_silent());
    CommandDone();
  }
  parked_ = false;
}

void Connection::RunAgain() {
  PutOffParked();
  batched().RunAgain(&session_);
}

size_t Connection::GiveUpCommands() {
  PutOffParked();
  return batched().GiveUp();
}

ParseOutcome Connection::NextCommand(KeysAhead& keys) {
  if (batched_ != nullptr && batched_->BeginNext(&session_)) {
    return ParseOutcome::kCommand;
  }
  if (commands_.left() == 0) {
    ParseAhead(keys);
    keys.Fetch();
  }
  const ParseOutcome outcome = commands_.Next();
  if (outcome != ParseOutcome::kNeedMore) return outcome;
  input_.Consume(commands_.consumed());
  input_.ReleaseIfEmpty();
  half_ = !input_.empty();
  return outcome;
}

void Connection::CommandDone() {
  if (RunsAgain()) return batched_->Done();
  input_.Consume(commands_.consumed());
  half_ = false;
}

void Connection::Refuse(std::string_view error) {
  ReplyWriter(replies_.buffer(), session_.protocol)
      .Error(fmt::format("ERR {}", error));
  replies_.Commit(0, false);
  session_.closing = true;
}

void Connection::EndInput() {
  input_ended_ = true;
  SetReading(false);
}

void Connection::SetReading(bool reading) {
  if (reading == reading_ || closed_) return;
  reading_ = reading;
  if (!reading) {
    uv_read_stop(AsStream(pipe_));
    return;
  }
  const auto on_room = [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
    auto* self = static_cast<Connection*>(handle->data);
    // No room makes it UV_ENOBUFS.
    const std::span<char> room =
        self->TakesNothing()
            ? std::span<char>()
            : self->input_.Room(self->commands_.bytes_wanted());
    *buffer = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
  };
  const auto on_read = [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
    if (stream->data == nullptr) return;
    static_cast<Connection*>(stream->data)->OnRead(count);
  };
  if (uv_read_start(AsStream(pipe_), on_room, on_read) != 0) Close();
}

void Connection::UpdateReading() {
  // Most clients send nothing more before they have their reply: to stop now
  // and start again then would be two system calls for nothing.
  if (parked_) return;
  SetReading(MayExecute() && !input_ended_ && !in.ready);
}

void Connection::OnRead(ssize_t count) {
  if (count == 0) return;
  // More input, or its end: it stays where it is.
  if (TakesNothing()) return SetReading(false);
  if (count > 0) {
    input_.Filled(static_cast<size_t>(count));
    session_.read_stamp = {};
    silent_ms_ = 0;
    service_.stats.input_bytes += static_cast<uint64_t>(count);
    session_.input_total_bytes += static_cast<uint64_t>(count);
  } else if (count == UV_ENOBUFS) {
    // No memory for input: this client goes, the others stay.
    return Close();
  } else {
    // The end, or a broken connection: what was read is executed all the same.
    EndInput();
  }
  listener_.Arrived(*this);
}

void Connection::Flush() {
  if (closed_ || writing_) return;
  if (replies_.has_sendable()) {
    std::array<uv_buf_t, kBuffersAtOnce> buffers;
    unsigned count = 0;
    replies_.ForEachSendable([&](std::string_view piece) {
      ForEachBuffer(piece, [&](uv_buf_t buffer) {
        if (count < buffers.size()) buffers[count++] = buffer;
      });
    });
    const int sent = uv_try_write(AsStream(pipe_), buffers.data(), count);
    if (sent < 0 && sent != UV_EAGAIN) return Close();
    if (sent > 0) {
      service_.stats.output_bytes += static_cast<uint64_t>(sent);
      session_.output_total_bytes += static_cast<uint64_t>(sent);
      replies_.Sent(static_cast<size_t>(sent));
    }
    if (replies_.has_sendable()) return StartWrite();
  }
  if (session_.closing && output_bytes() == 0 && session_.unsettled == 0 &&
      !HasCommandsAgain()) {
    Close();
  }
}

void Connection::StartWrite() {
  auto write = std::make_unique<WriteRequest>();
  write->replies = replies_.TakeSendable();
  write->request.data = write.get();
  std::vector<uv_buf_t> buffers;
  flying_bytes_ = 0;
  flying_text_bytes_ = write->replies.text.size() - write->replies.from;
  write->replies.ForEachPiece([&](std::string_view piece) {
    flying_bytes_ += piece.size();
    ForEachBuffer(piece, [&](uv_buf_t buffer) { buffers.push_back(buffer); });
  });
  const auto on_written = [](uv_write_t* request, int status) {
    const std::unique_ptr<WriteRequest> done(
        static_cast<WriteRequest*>(request->data));
    auto* self = static_cast<Connection*>(request->handle->data);
    if (self != nullptr) self->OnWritten(status);
  };
  if (uv_write(&write->request, AsStream(pipe_), buffers.data(),
               static_cast<unsigned>(buffers.size()), on_written) != 0) {
    return Close();
  }
  writing_ = true;
  std::ignore = write.release();  // The callback frees it.
}

void Connection::OnWritten(int status) {
  writing_ = false;
  if (status < 0) return Close();
  service_.stats.output_bytes += flying_bytes_;
  session_.output_total_bytes += flying_bytes_;
  flying_bytes_ = flying_text_bytes_ = 0;
  session_.output_bytes = output_bytes();
  listener_.Drained(*this);
}

void Connection::Take(const SharedMessage& message, const std::string* pattern,
                      uint64_t seq, bool wait) {
  if (closed_ || session_.closing) return;
  if (IsPlanted(PlantedBug::kLoseSlowMessage) && OutputIsFull()) return;
  if (UnsentMessageBytes() + message->BytesFor(pattern) >
      service_.config.limits.subscriber_bytes) {
    return CloseAsSlow();
  }
  const uint64_t begin = session_.output_total_bytes + output_bytes();
  std::string& out = *replies_.buffer();
  message->AppendHead(session_.protocol, pattern, &out);
  const std::string_view text = message->text();
  if (text.size() < kSharedBytesMin) {
    out.append(text);
  } else {
    // What is lent belongs before some text: the last line end.
    const size_t size = text.size() - 2;
    replies_.lent()->push_back({out.size(), text.substr(0, size), message});
    out.append(text.substr(size));
  }
  replies_.CommitMessage(seq, wait);
  const uint64_t end = session_.output_total_bytes + output_bytes();
  messages_.Add(begin, end);
  session_.output_bytes = output_bytes();
  listener_.GotMessage(*this, end - begin);
}

// Replies among it count, too: most who subscribe get few.
size_t Connection::OwnMessageBytes() {
  return std::min(UnsentMessageBytes(),
                  replies_.text_bytes() + flying_text_bytes_);
}

void Connection::CloseAsSlow() {
  ++service_.stats.subscribers_closed;
  if (service_.log_rate.Allow(service_.NowMs())) {
    LogWarning(
        "client {} (pid {}, uid {}) does not read its messages: closed with {} "
        "unsent (limits.subscriber_bytes)",
        session_.id, session_.pid, session_.uid,
        FormatSize(UnsentMessageBytes()));
  }
  Close();
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  reading_ = false;
  // Others may begin one before this is destroyed.
  session_.backup.reset();
  pipe_.reset();
  listener_.Closed(*this);
}

}  // namespace kvd
