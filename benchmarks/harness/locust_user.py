"""The user that Locust runs: one GET after the other."""

from locust import FastHttpUser, constant, task


class Getter(FastHttpUser):
    wait_time = constant(0)

    @task
    def get(self) -> None:
        self.client.get("/")
