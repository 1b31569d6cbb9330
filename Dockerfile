# docker compose up, or: docker build -t segmatte . && docker run -p 7860:7860 -v segmatte-models:/app/models segmatte
FROM python:3.12.12-slim-bookworm

# "[cuda,cudnn]" for an NVIDIA GPU, 1.3 GB more
ARG ORT_EXTRAS=""

RUN useradd --create-home --uid 1000 segmatte
WORKDIR /app
COPY requirements.txt ./
# requirements.txt pins the version of onnxruntime-gpu
# hadolint ignore=DL3013
RUN pip install --no-cache-dir -r requirements.txt ${ORT_EXTRAS:+"onnxruntime-gpu${ORT_EXTRAS}"}
COPY --chown=segmatte app.py model_registry.yaml LICENSE ./
COPY --chown=segmatte segmentation/ segmentation/

# Weights and Hub cache share one folder, so that one volume holds both. Compiled matting is in the image, for any CPU.
ENV GRADIO_SERVER_NAME=0.0.0.0 \
    HF_HOME=/app/models/.hub \
    NUMBA_CACHE_DIR=/app/.numba_cache \
    NUMBA_CPU_NAME=generic \
    PYTHONUNBUFFERED=1
RUN mkdir models .numba_cache && chown segmatte: . models .numba_cache
USER 1000
RUN python -c "from segmentation.matting import alpha, estimators; alpha.warm_up(); estimators.warm_up()" \
    && python -m segmentation fetch

VOLUME /app/models
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
