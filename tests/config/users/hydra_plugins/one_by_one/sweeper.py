"""A user's own sweeper."""

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class OneByOne(Sweeper):
    """Runs a job for each value of a key, and raises the error of a failed one at once."""

    def __init__(self, key, values):
        self.key, self.values = key, values

    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        for number, value in enumerate(self.values):
            [returned] = self.launcher.launch([[*arguments, f"{self.key}={value}"]], initial_job_idx=number)
            _ = returned.return_value
