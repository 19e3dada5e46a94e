%% Stands in for a module of RabbitMQ 3.10, 3.11 and 4.0.
%%
%% There, a queue that dead-letters at least once has a worker for that, and this supervises all of them. As it is shipped
%% it ends for good when too many of their starts fail, and they fail when the queue is deleted in the moment of its coming
%% into being: from then on every such queue of the whole broker dies as it starts, and no other can be declared. Two
%% failures within five seconds are too many for 3.10; 4.0 bears a hundred a second, which one worker that is started again
%% and again for a queue that is gone reaches within a tenth of a second. These are the numbers of 4.0; that no worker is
%% started for a queue that is gone is ours.
-module(rabbit_fifo_dlx_sup).
-behaviour(supervisor).

-rabbit_boot_step({?MODULE, [
    {description, "supervisor of the workers that dead-letter at least once"},
    {mfa, {rabbit_sup, start_supervisor_child, [?MODULE]}},
    {requires, kernel_ready},
    {enables, core_initialized}
]}).

-export([boot/0, start_link/0, init/1, start_worker/1]).

%% A queue's record follows its process within moments.
-define(LOOKS, 20).
-define(BETWEEN_LOOKS_MS, 10).

%% The node is started through here, so that this module is the one that is loaded: RabbitMQ puts its own in front of
%% whatever the path was.
boot() ->
    rabbit:boot().

start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    Flags = #{strategy => simple_one_for_one, intensity => 100, period => 1},
    Worker = #{id => worker, start => {?MODULE, start_worker, []}, restart => transient},
    {ok, {Flags, [Worker]}}.

start_worker(Queue) ->
    start_worker(Queue, ?LOOKS).

start_worker(_Queue, 0) ->
    ignore;
start_worker(Queue, Looks) ->
    case rabbit_amqqueue:lookup(Queue) of
        {ok, _} ->
            rabbit_fifo_dlx_worker:start_link(Queue);
        {error, not_found} ->
            timer:sleep(?BETWEEN_LOOKS_MS),
            start_worker(Queue, Looks - 1)
    end.
