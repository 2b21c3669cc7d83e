// SPDX-License-Identifier: MIT
//
// One client's bytes, in and out. From a client that does not read its replies
// nothing more is read; other clients do not notice.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "daemon/loop/batched_commands.h"
#include "daemon/loop/commands_ahead.h"
#include "daemon/loop/event_loop.h"
#include "daemon/loop/input_buffer.h"
#include "daemon/loop/keys_ahead.h"
#include "daemon/loop/reply_queue.h"
#include "daemon/loop/unsent_messages.h"
#include "daemon/loop/uv_ptr.h"
#include "daemon/pubsub/message.h"
#include "daemon/state/server_state.h"
#include "daemon/state/session.h"

namespace kvd {

class Connection;

// Who executes commands and sends replies hears here of what libuv did.
// Thread: loop.
class ConnectionListener {
 public:
  // Input, or its end. Once a read.
  virtual void Arrived(Connection& connection) = 0;
  // A write has ended that the socket had no room for at once.
  virtual void Drained(Connection& connection) = 0;
  // It has a message of `bytes` to send, perhaps once a change is durable.
  virtual void GotMessage(Connection& connection, size_t bytes) = 0;
  // It closed, by Close() or on its own account. Once.
  virtual void Closed(Connection& connection) = 0;

 protected:
  ~ConnectionListener() = default;
};

// Reads when it may, gives out one command at a time, sends what may be sent.
// When to execute and when to flush others decide. Thread: loop.
class Connection final : public Inbox {
 public:
  // `client` is a connected, non-blocking socket. `service` and `listener`
  // outlive the connection. closed() at once if libuv refuses the socket.
  Connection(EventLoop& loop, UniqueFd client, uint64_t id,
             ServerState& service, ConnectionListener& listener);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Session& session() { return session_; }
  ReplyQueue& replies() { return replies_; }

  // Whether another command may run now.
  bool MayExecute() const {
    return !closed_ && (!session_.closing || HasCommandsAgain()) && !parked_ &&
           !OutputIsFull();
  }
  // Parses what will be executed next, if nothing is left over, and tells
  // `keys` its keys. Returns how many commands are parsed. Not while a command
  // is under way.
  size_t ParseAhead(KeysAhead& keys);
  // Parses the next command into args(), which stay valid until CommandDone().
  // After kError nothing but RefuseInput() makes sense.
  ParseOutcome NextCommand(KeysAhead& keys);
  std::span<const std::string_view> args() const {
    return RunsAgain() ? batched_->words() : commands_.args();
  }
  // The second of them with its hash, which `keys` returned; none if it did
  // not.
  HashedKey hashed_key() const {
    if (RunsAgain()) return {};
    const std::optional<uint64_t> hash = commands_.key_hash();
    return hash ? HashedKey{args()[1], *hash} : HashedKey();
  }
  size_t command_bytes() const { return commands_.consumed(); }
  void CommandDone();
  // Answers input that is no command; nothing more is executed.
  void RefuseInput() { Refuse(commands_.error()); }
  // Answers with an error that ends the conversation. Not while parked.
  void Refuse(std::string_view error);

  // Its commands in a batch of the store.
  BatchedCommands& batched();
  // Those run again, and then the one in args(), which waits, if there is one.
  void RunAgain();
  // Takes out all of those and the one that waits, which never run: returns how
  // many are to be answered. Not while some are in a batch.
  size_t GiveUpCommands();

  // What the command in args() reads from disk.
  ColdValues& cold() { return cold_; }

  // The command in args() waits for room or values, and the input with it:
  // nothing more is read.
  void set_parked(bool parked) { parked_ = parked; }

  // No more input: what was read is executed, replies go out, and it closes.
  void EndInput();
  bool input_ended() const { return input_ended_; }

  // Sends what may be sent; closes if that was the last thing to do.
  void Flush();
  // Starts or stops reading, by whether another command may run.
  void UpdateReading();
  // At once.
  void Close();
  bool closed() const { return closed_; }

  // Replies wait for the client to read.
  bool OutputIsFull() const { return output_bytes() >= kOutputBytesSoft; }
  // Unsent, withheld ones included, and what waits for a batch.
  size_t output_bytes() const {
    return replies_.bytes() + flying_bytes_ +
           (batched_ == nullptr ? 0 : batched_->bytes());
  }
  size_t input_bytes() const { return input_.size(); }

  // What its buffers and names take, and values that were read for its command.
  size_t memory_bytes() const {
    return input_.memory_bytes() + replies_.memory_bytes() + flying_bytes_ +
           cold_.bytes() + commands_.memory_bytes() + session_.memory_bytes() +
           (batched_ == nullptr ? 0 : batched_->bytes());
  }

  // A message that it is subscribed to. Closes if more would be unsent than
  // limits.subscriber_bytes. Not while a command of its own is under way.
  void Take(const SharedMessage& message, const std::string* pattern,
            uint64_t seq, bool wait) override;
  size_t UnsentMessageBytes() override {
    return messages_.Bytes(session_.output_total_bytes);
  }
  size_t OwnMessageBytes() override;
  void CloseAsSlow() override;

  // Whether a command is half here and kvd reads on.
  bool awaits_rest() const {
    return half_ && reading_ && !TakesNothing() && session_.unsettled == 0;
  }
  // For how long kvd has looked for its rest and not a byte came.
  int64_t silent_ms() const { return silent_ms_; }
  void AddSilence(int64_t ms) { silent_ms_ += ms; }

  // Lists of the turn that hold this connection; kept here so that nobody has
  // to search them.
  struct Membership {
    bool ready = false;
    bool postponed = false;  // Ready since an earlier turn.
    bool waiting = false;
    bool flush = false;
    bool later = false;          // Has messages to send.
    size_t later_bytes = 0;      // Of these.
    bool starved = false;        // In no list: runs when output has drained.
    int64_t waits_since_ns = 0;  // First try of a parked command; 0 for none.
  };
  Membership in;

 private:
  // Beyond this much unsent output nothing more is read or executed, so that
  // a connection holds this and one reply at the most.
  static constexpr size_t kOutputBytesSoft = size_t{1} << 20;

  struct WriteRequest {
    uv_write_t request;
    ReplyQueue::Taken replies;
  };

  bool RunsAgain() const {
    return batched_ != nullptr && batched_->runs_again();
  }
  bool HasCommandsAgain() const {
    return batched_ != nullptr && batched_->has_more();
  }
  void PutOffParked();
  // What has come stays in the socket.
  bool TakesNothing() const { return parked_ || in.postponed; }
  void OnRead(ssize_t count);
  void OnWritten(int status);
  void StartWrite();
  void SetReading(bool reading);

  EventLoop& loop_;
  ServerState& service_;
  ConnectionListener& listener_;
  Session session_;
  CommandsAhead commands_;
  std::unique_ptr<BatchedCommands> batched_;  // Null if there never were any.
  ColdValues cold_;
  InputBuffer input_;
  ReplyQueue replies_;
  UnsentMessages messages_;
  size_t flying_bytes_ = 0;       // In a write request.
  size_t flying_text_bytes_ = 0;  // Of these, what is not lent.
  bool writing_ = false;
  bool reading_ = false;
  bool parked_ = false;
  bool input_ended_ = false;
  bool closed_ = false;
  bool half_ = false;  // What is in input_ is a part of a command.
  int64_t silent_ms_ = 0;
  UvPtr<uv_pipe_t> pipe_;
};

}  // namespace kvd
